namespace LlamaServe.Kernels;

/// <summary>Operations made of others, the same on every device.</summary>
public static class BackendExtensions
{
    /// <summary>Chooses (or scores) a token for each row of logits, and waits for the results.</summary>
    /// <param name="logits">[batch.Count, vocabulary].</param>
    public static void Sample(this IBackend backend, Tensor logits, SamplingBatch batch)
    {
        backend.StartSample(logits, batch);
        backend.FinishSample(batch);
    }
}
