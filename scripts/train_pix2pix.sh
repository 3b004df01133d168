#!/usr/bin/env bash
# pix2pix on the pairs of datasets/facades/train, from right to left.
# Run it from the root of the repository. Flags that follow are added, and replace those below.
set -ex
python 01_train.py --dataroot ./datasets/facades --name facades_pix2pix --model pix2pix \
    --netG unet_256 --direction BtoA --lambda_L1 100 --dataset_mode aligned --norm batch --pool_size 0 "$@"
