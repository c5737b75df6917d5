"""Events become messages that reach people, through an outbox that loses and doubles none."""
