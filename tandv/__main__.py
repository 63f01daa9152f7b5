"""`python -m tandv` is the command `tandv`."""

from tandv.cli import app

if __name__ == "__main__":
    app(prog_name="tandv")
