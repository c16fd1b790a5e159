import argparse

parser = argparse.ArgumentParser(description="Train something")
parser.add_argument("--alpha", type=float, required=True)
print("before the arguments")
args = parser.parse_args()
print(args.alpha)
