"""Estimate the body mass of penguins in grams from a CSV of numbers and text with gaps.

The Palmer penguins (CC0): Horst, Hill and Gorman (2020), https://allisonhorst.github.io/palmerpenguins/.
"""

import argparse
import os

import joblib
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from amlcore import Run

parser = argparse.ArgumentParser()
parser.add_argument("--data", default=os.path.join(os.path.dirname(__file__), "penguins.csv"), help="the CSV")
parser.add_argument("--alpha", type=float, default=1.0, help="strength of the regularisation")
args = parser.parse_args()

penguins = pd.read_csv(args.data).dropna(subset=["body_mass_g"])
X, y = penguins.drop(columns="body_mass_g"), penguins["body_mass_g"]
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
columns = make_column_transformer(
    (numbers, make_column_selector(dtype_include="number")),
    (texts, make_column_selector(dtype_exclude="number")),
)
model = make_pipeline(columns, Ridge(alpha=args.alpha)).fit(X_train, y_train)

estimates = model.predict(X_test)
r2, mae = r2_score(y_test, estimates), mean_absolute_error(y_test, estimates)
print(f"R2 {r2:.3f}, mean absolute error {mae:.0f} g on {len(y_test)} penguins")

run = Run.get_context()
run.log("R2", r2)
run.log("MAE", mae, "mean absolute error in grams")
run.log_sample(X_train)

figure, axes = plt.subplots()
axes.scatter(y_test, estimates, s=12)
axes.axline((4000, 4000), slope=1, color="grey", linewidth=1)
axes.set(xlabel="body mass, measured (g)", ylabel="body mass, estimated (g)", title=f"R2 {r2:.3f}")
run.log_image("Estimated against measured", plot=figure)

os.makedirs("outputs", exist_ok=True)
joblib.dump(model, "outputs/model.joblib")
