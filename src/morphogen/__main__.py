"""python -m morphogen: the same as the command, for torchrun and for machines where the command is not on the path."""

from morphogen.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
