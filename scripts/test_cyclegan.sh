#!/usr/bin/env bash
# Translates the test images both ways with the run of train_cyclegan.sh.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 02_inference.py --dataroot ./datasets/maps --name maps_cyclegan --model cycle_gan \
    --phase test --no_dropout "$@"
