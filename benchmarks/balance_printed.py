"""Numbers printed in Zhang, Yoon, Bansal, Yao (MLA), Tables 1 and 3: test accuracy in per cent, three seeds.

Columns of both: CREMA-D, Kinetics-Sounds, Food-101, MVSA, IEMOCAP.
"""

SETS = ("CREMA-D", "Kinetics-Sounds", "Food-101", "MVSA", "IEMOCAP")

# Table 1, all modalities together; our name -> the paper's five cells
TABLE_1 = {
    "sum": (60.32, 64.72, 86.19, 76.19, 74.18),
    "concat": (61.56, 64.84, 86.32, 76.25, 75.91),
    "late": (66.32, 65.53, 90.21, 76.88, 74.96),
    "film": (60.07, 63.33, 87.21, 75.34, 74.32),
    "bigated": (59.21, 63.72, 88.87, 75.94, 73.34),
    "ogm_ge": (68.14, 65.74, 87.54, 76.37, 76.17),
    "qmf": (63.71, 65.78, 92.87, 77.96, 76.17),
    "mla": (79.70, 71.35, 93.33, 79.94, 78.92),
}
# Table 1, mla's modalities alone
MLA_ALONE = {"CREMA-D": "A 59.27, V 64.91", "Kinetics-Sounds": "A 54.67, V 51.03", "Food-101": "I 69.60, T 86.47"}

# Table 3: head gradient modification (HGM), dynamic fusion (DF)
TABLE_3 = {
    "neither": (66.32, 65.53, 90.21, 76.88, 74.96),
    "DF": (72.79, 66.34, 91.37, 77.53, 75.42),
    "HGM": (74.51, 70.72, 91.72, 79.59, 77.58),
    "both": (79.70, 71.35, 93.33, 79.94, 78.92),
}

PROTOCOL = """\
Known differences of protocol: the paper trains ResNet-18s from scratch or M3AE and CAV-MAE on raw media, with SGD (rate
1e-3, momentum 0.9, batch 64, a tenth of the rate from epoch 70 of 100); here small towers over frozen views are trained
with AdamW. Its released code chooses the epoch on the test rows and has no validation rows; here the epoch is chosen on
validation rows alone. Its CREMA-D split is random, with all speakers on both sides; av_digits is split by speaker here.
Its code never runs the projection and fuses by batch; ours does what the equations say. Its sets are none of ours: only
the order of the methods can be compared, not the numbers."""

TRAP = """\
The trap of Table 3: its row "neither" equals the row of late fusion in Table 1 digit for digit. Late fusion has a head
per modality, whereas MLA without both parts is alternating training of one shared head: these are two things, and the
printed table cannot say which it measured. Above they are rows of their own."""
