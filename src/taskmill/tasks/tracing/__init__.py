"""Tracing: spans of submissions and attempts, by OpenTelemetry, which only an ``observe.otel`` entry imports."""
