"""The compiler from torch modules to graphs: trace, simplify, differentiate, write, verify.

In: a torch module over density variables and a record. Out: a functional folder whose ONNX graphs
give energies and derivatives up to the third, compared with torch before the folder appears.
"""
