namespace LlamaServe.Kernels.Cuda;

public sealed partial class CudaBackend
{
    public bool Overlaps => true;

    public void StartSample(Tensor logits, SamplingBatch batch)
    {
        Check.Activation(logits, "logits");
        Check.That(logits.Rows == batch.Count, $"{logits.Rows} rows of logits for {batch.Count} rows to sample");
        if (batch.Drafts is { } drafts)
        {
            Check.Drafts(drafts, batch.Count);
        }
        if (_sample.Start(logits, batch))
        {
            _runtime.AddressesMoved();
        }
    }

    public void FinishSample(SamplingBatch batch) => _sample.Finish(batch);

    public void CompactDrafts(KvCache cache, ForwardBatch batch, DraftBatch drafts)
    {
        CudaKvCache own = CudaCheck.Cache(cache, 0);
        Check.Drafts(drafts, batch.LogitsCount);
        Check.Range(batch.SlotMapping, own.Shape.Blocks * own.Shape.BlockSize, "slot");
        _inputs.Upload(batch);
        _verifyDraft.Compact(own, _inputs, drafts);
    }
}
