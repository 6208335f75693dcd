"""Where the launcher begins: nothing is imported that could be left for later."""

import sys

root = __file__.rpartition("/tests/")[0] or "."
sys.path[0] = root  # ``python DIRECTORY`` puts the directory itself there

from tests.bogo.shim import main  # noqa: E402  # the path has to be set first

sys.exit(main(sys.argv[1:]))
