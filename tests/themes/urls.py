from django.urls import include, path

# Its address is a matter of grappelli's templates; under the other themes nobody asks for it.
urlpatterns = [path("grappelli/", include("grappelli.urls")), path("", include("tests.urls"))]
