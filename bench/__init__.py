"""The benchmark: Confab beside the chats one would write instead, doing the same work on the same machine."""
