import matplotlib
import matplotlib.pyplot as plt
import numpy as np

print(matplotlib.get_backend().lower())
x = np.linspace(0, 1, 20)
fig, ax = plt.subplots()
ax.plot(x, x**2, label="square")
ax.legend()
fig.savefig("outputs_figure.png")
plt.figure()
plt.hist(x)
plt.show()
print(len(plt.get_fignums()), "figures")
