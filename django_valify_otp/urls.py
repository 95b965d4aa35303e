from rest_framework.routers import SimpleRouter

from django_valify_otp.views import OtpSendViewSet

app_name = "django_valify_otp"

router = SimpleRouter()
router.register("sends", OtpSendViewSet, basename="otp-send")

urlpatterns = router.urls
