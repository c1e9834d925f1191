namespace LlamaServe.Kernels.Cpu;

/// <summary>Walks each sequence's drafts from the committed token on: a draft is accepted that is the id chosen at its parent's row.</summary>
internal static class VerifyDraft
{
    public static void Run(ReadOnlySpan<int> chosenIds, DraftBatch batch)
    {
        for (int i = 0; i < batch.SequenceCount; i++)
        {
            DraftSequence sequence = batch.Sequences[i];
            ReadOnlySpan<DraftToken> drafts = batch.Drafts.Slice(sequence.FirstDraft, sequence.Count);
            int id = chosenIds[sequence.FirstRow], accepted = 0;
            for (int draft = drafts.IndexOf(new DraftToken(id, -1)); draft >= 0; draft = drafts.IndexOf(new DraftToken(id, draft)))
            {
                batch.AcceptedDrafts[sequence.FirstDraft + accepted++] = draft;
                id = chosenIds[sequence.FirstRow + 1 + draft];
            }
            batch.Results[i] = new DraftResult(accepted, id);
        }
    }
}
