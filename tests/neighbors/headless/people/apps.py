from django.apps import AppConfig


class PeopleConfig(AppConfig):
    """The users of this site."""

    name = "tests.neighbors.headless.people"
    label = "people"
