"""What is stored."""

from django.db import models


class Message(models.Model):
    """A message. Its id is sent as `rev`, so that the load generator can check the order."""

    room = models.CharField(max_length=50, db_index=True)
    handle = models.CharField(max_length=64)
    message = models.TextField()
    timestamp = models.DateTimeField(auto_now_add=True)

    class Meta:
        """The table has the name that the benchmark expects."""

        db_table = "messages"
