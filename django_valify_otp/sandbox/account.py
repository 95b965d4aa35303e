"""The settings with which a site under test sends to the sandbox."""

SANDBOX_SETTINGS: dict[str, object] = {
    "BUNDLE_KEY": "sandbox",
    "USERNAME": "sandbox",
    "PASSWORD": "sandbox",
    "CLIENT_ID": "sandbox",
    "CLIENT_SECRET": "sandbox",
    "ACCESS_TOKEN_CALLABLE": None,
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "GLOBAL_SEND_LIMITS": [],
}
