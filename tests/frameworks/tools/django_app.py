"""python3 django_app.py sync | add NAME... | read ID | save JSON"""
import json
import os
import sys
from urllib.parse import urlparse

import django
from django.conf import settings

url = urlparse(os.environ["DATABASE_URL"])
settings.configure(
    SECRET_KEY="only-for-a-test",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "people",
    ],
    AUTH_USER_MODEL="people.User",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.hostname,
            "PORT": url.port,
            "USER": url.username,
            "PASSWORD": url.password or "",
            "NAME": url.path[1:],
        }
    },
)
django.setup()

from django.core import serializers
from django.core.management import call_command
from people.models import User

command, args = sys.argv[1], sys.argv[2:]
if command == "sync":
    call_command("migrate", run_syncdb=True, verbosity=0)
elif command == "add":
    for name in args:
        User.objects.create(username=name)
elif command == "read":
    print(serializers.serialize("json", User.objects.filter(pk=args[0])))
elif command == "save":
    for user in serializers.deserialize("json", args[0]):
        user.object.save()
