"""The archive once more, at its own pace: as ssmd's messages, or in an exchange's own protocol."""
