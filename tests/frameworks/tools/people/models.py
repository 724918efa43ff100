from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class User(AbstractBaseUser):
    username = models.CharField(max_length=150, unique=True)
    status = models.CharField(max_length=20, default="offline")
    USERNAME_FIELD = "username"
