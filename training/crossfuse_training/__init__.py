"""Networks, losses and training of CrossFuse; needs torch."""
