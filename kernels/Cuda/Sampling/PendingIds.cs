namespace LlamaServe.Kernels.Cuda;

/// <summary>Tokens that the step sampled last has chosen, or will have when work that is queued behind it runs.</summary>
/// <param name="Count">Its rows.</param>
/// <param name="First">Index of its first row's id in the results of all steps.</param>
internal readonly record struct PendingIds(int Count, int First)
{
    /// <summary>~index in the results of all steps, of a token that is named as ~row.</summary>
    /// <exception cref="ArgumentException">The step had no such row.</exception>
    public int Place(int id) => ~id < Count
        ? ~(First + ~id)
        : throw new ArgumentException($"token id {id} is row {~id} of a step with {Count} rows of logits");
}
