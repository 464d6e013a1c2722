"""Articles."""

from . import views
