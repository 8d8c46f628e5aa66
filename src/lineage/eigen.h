/* Eigenvalues of small symmetric matrices, in binary64 and in a fixed order of operations. */
#ifndef DK_LINEAGE_EIGEN_H
#define DK_LINEAGE_EIGEN_H

enum { EIGEN_MAX = 512 };

/* w[0..n): the eigenvalues of a (n, n), largest first, to about n·2⁻⁵² of the largest; only the lower triangle of a is
 * read, and a is overwritten.  Householder's reduction to three diagonals, then implicit QL steps with Wilkinson's
 * shift (Golub and Van Loan, Matrix Computations, §8.3).  n ≤ EIGEN_MAX. */
void eigen_symmetric(double *w, double *a, int n);

/* l (n, n), lower: L·Lᵀ = a for a positive semidefinite a, of which the lower triangle is read; a column whose pivot
 * vanishes against the trace is zero. */
void eigen_cholesky(double *l, const double *a, int n);

#endif
