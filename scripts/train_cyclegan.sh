#!/usr/bin/env bash
# CycleGAN on the maps of datasets/maps (trainA, trainB).
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 01_train.py --dataroot ./datasets/maps --name maps_cyclegan --model cycle_gan \
    --pool_size 50 --no_dropout "$@"
