"""What the compiled pass over a stripe finds wrong; see `fl_chain.run.stripe_kernel`."""

SHORT = 2  # a file has fewer bytes than it should
OUT_OF_RANGE = 1  # a lane is beyond its bound, or one past the dimension is not zero
