"""Users: sign up, log in, who am I."""

from . import views
