"""What gradients and weights do from step to step, compared coordinate by coordinate, on the CPU and on devices."""
