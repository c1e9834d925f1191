using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A token of a batch with trees of drafts, as attention.cuh lays it out and explains it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TreeToken
{
    /// <summary>int32 words of one.</summary>
    public const int Words = 4;

    public ulong Ancestors;
    public int End;
    public int Position;

    /// <param name="tokens">At least the batch's.</param>
    public static void Fill(Span<TreeToken> tokens, ForwardBatch batch)
    {
        for (int sequence = 0; sequence < batch.SequenceCount; sequence++)
        {
            for (int i = batch.QueryStart[sequence]; i < batch.QueryStart[sequence + 1]; i++)
            {
                (ulong ancestors, int position) = (batch.Ancestors[i], batch.Positions[i]);
                tokens[i] = new TreeToken { Ancestors = ancestors, End = ancestors == 0 ? position + 1 : batch.TreeStart(sequence), Position = position };
            }
        }
    }
}
