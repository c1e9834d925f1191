using System.Runtime.InteropServices;

namespace LlamaServe.Kernels.Cuda;

/// <summary>A <see cref="SamplingRow"/> as sampling.cuh lays it out. Lists are named by their index in the upload's integers.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SamplingRowData
{
    public ulong Seed;
    public ulong Counter;
    public float Temperature;
    public float TopP;
    public float MinP;
    public float RepetitionPenalty;
    public float PresencePenalty;
    public float FrequencyPenalty;
    public int TopK;
    public int TargetId;

    /// <summary>Only where there are penalties. A token ~i is number i of what was chosen before.</summary>
    public int Tokens;
    public int TokenCount;
    public int PromptLength;

    /// <summary>Ids, then as many values.</summary>
    public int Biases;
    public int BiasCount;
    public int Bans;
    public int BanCount;

    /// <summary>Index of the log-probability in the results; −1 for none.</summary>
    public int LogProb;
    public int TopLogProbs;

    /// <summary>Index of the most likely tokens in the results: ids, then as many log-probabilities.</summary>
    public int Tops;

    public readonly bool HasEdits => TokenCount + BiasCount + BanCount > 0;

    /// <summary>Whether the largest logit, or a score's target, is all there is to find.</summary>
    public readonly bool NeedsOnlyScan => (Temperature == 0 || TargetId >= 0) && LogProb < 0 && TopLogProbs == 0;
}
