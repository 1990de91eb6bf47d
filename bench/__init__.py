"""The benchmark: Confab beside other chat servers that do the same work on the same machine."""
