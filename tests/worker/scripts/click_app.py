import click
import numpy as np


@click.command()
@click.option("--size", default=3, show_default=True)
@click.argument("name")
def train(size, name):
    """Train NAME."""
    click.echo("training %s" % name)
    rng = np.random.RandomState(42)
    click.echo(rng.rand(size).round(4).tolist())
    if size > 4:
        raise click.BadParameter("too large", param_hint="--size")


if __name__ == "__main__":
    train()
