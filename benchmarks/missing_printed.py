"""Numbers printed in Zhang, Yoon, Bansal, Yao (MLA), Table 2: IEMOCAP, test accuracy in per cent, three seeds."""

RATES = (10, 20, 30, 40, 50, 60, 70)

# our name -> the paper's cells by missing rate
TABLE_2 = {
    "late": (72.95, 69.06, 64.89, 61.09, 56.48, 52.41, 45.07),
    "qmf": (73.49, 71.33, 65.89, 62.27, 57.94, 55.60, 50.25),
    "cca": (65.19, 62.60, 59.35, 55.25, 51.38, 45.73, 30.61),
    "dcca": (57.25, 51.74, 42.53, 36.54, 34.82, 33.65, 41.09),
    "dccae": (61.66, 57.67, 54.95, 51.08, 45.71, 39.07, 41.42),
    "ae": (71.36, 67.40, 62.02, 57.24, 50.56, 43.04, 39.86),
    "cra": (71.28, 67.34, 62.24, 57.04, 49.86, 43.22, 38.56),
    "mmin": (71.84, 69.36, 66.34, 63.30, 60.54, 57.52, 55.44),
    "ifmmin": (71.32, 68.29, 64.17, 60.13, 57.45, 53.26, 52.04),
    "cpm": (55.29, 53.65, 52.52, 51.01, 49.09, 47.38, 44.76),
    "tate": (67.84, 63.22, 62.19, 60.36, 58.74, 57.99, 54.35),
    "mla": (75.07, 72.33, 68.47, 67.00, 63.48, 59.17, 55.89),
}

ODD = """\
Odd cells of Table 2. DCCA and DCCAE get *better* from 60 to 70 % missing (33.65 to 41.09, 39.07 to 41.42) while CCA
collapses (45.73 to 30.61): the three last cells look permuted. DCCA at 40 to 60 % (36.5 to 33.7) lies near what always
naming the most frequent of four classes gives. "70 %" of three modalities with one kept is 66.7 %. The rows from CCA to
CPM-Net agree with a table of GCNet's whose metric is weighted F1 over other features and folds, whereas this one is
called accuracy; and GCNet's own row, which is above mla's, is left out. Rates are said to be drawn cell by cell, with
which 34 % of the rows would have nothing at 70 %."""

PROTOCOL = """\
Known differences of protocol: IEMOCAP cannot be had here; its features there are frozen BERT, MA-Net and wav2vec. The
paper trains its imagining baselines with the masked values as targets; here what is absent is never seen, and these
methods hide present modalities instead. Its released code chooses epochs on test rows. Only the order of the methods
can be compared, not the numbers."""
