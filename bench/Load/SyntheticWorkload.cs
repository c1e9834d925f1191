namespace LlamaServe.Bench.Load;

/// <summary>Random token ids.</summary>
/// <param name="Input">Lengths of the prompts.</param>
/// <param name="Output">Lengths of the answers.</param>
/// <param name="SharedPrefix">The part of every prompt, 0 to 1, that is common to all.</param>
internal sealed record SyntheticWorkload(LengthDistribution Input, LengthDistribution Output, double SharedPrefix)
{
    /// <summary>Makes them one at a time, as they are asked for.</summary>
    public IEnumerable<Conversation> Make(int count, TokenSource ids, Random random)
    {
        int[] prefix = ids.Draw((int)(SharedPrefix * Input.High));
        return Enumerable.Range(0, count).Select(_ => new Conversation([Request()]));

        Turn Request()
        {
            int length = Input.Draw(random), shared = (int)(SharedPrefix * length);
            return new Turn([.. prefix.AsSpan(0, shared), .. ids.Draw(length - shared)], Output.Draw(random));
        }
    }
}
