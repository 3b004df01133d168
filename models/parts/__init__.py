"""Networks, losses and schedules; they import no other part of models."""
