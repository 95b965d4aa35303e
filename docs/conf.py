"""How Sphinx builds this documentation: ``make docs``."""

project = "django-valify-otp"
author = "The django-valify-otp developers"
copyright = author
html_theme = "furo"
html_title = project
# A reference to something that is not there fails the build, which runs with -W.
nitpicky = True
