"""First recipes: what files hold, written down as a commented recipe that runs as it is.

The core finds the files, asks each technique whether it reads them, pairs series with logs and cyclers by their clocks,
and writes. What to fit is the technique's: it offers a `FirstRecipe` as an entry point of `GROUP`.
"""

from layerscope.init.files import Opened, named_alike, open_files
from layerscope.init.text import RecipeText
from layerscope.init.write import GROUP, FirstRecipe, Written, first_recipes

__all__ = [
    "GROUP",
    "FirstRecipe",
    "Opened",
    "RecipeText",
    "Written",
    "first_recipes",
    "named_alike",
    "open_files",
]
