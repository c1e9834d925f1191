namespace LlamaServe.Bench.Load;

/// <summary>Random token ids, the same for the same seed.</summary>
/// <param name="Input">Lengths of the prompts.</param>
/// <param name="Output">Lengths of the answers.</param>
/// <param name="SharedPrefix">The part of every prompt, 0 to 1, that is common to all.</param>
internal sealed record SyntheticWorkload(LengthDistribution Input, LengthDistribution Output, double SharedPrefix)
{
    public Conversation[] Make(int count, TokenRange ids, Random random)
    {
        int[] prefix = ids.Draw((int)(SharedPrefix * Input.High), random);
        return [.. Enumerable.Range(0, count).Select(_ => new Conversation([Request()]))];

        Turn Request()
        {
            int length = Input.Draw(random), shared = (int)(SharedPrefix * length);
            return new Turn([.. prefix.AsSpan(0, shared), .. ids.Draw(length - shared, random)], Output.Draw(random));
        }
    }
}

/// <summary>Ids that prompts are made of: ordinary tokens.</summary>
internal readonly record struct TokenRange(int First, int End)
{
    public int[] Draw(int count, Random random)
    {
        int[] ids = new int[count];
        for (int i = 0; i < count; i++)
        {
            ids[i] = random.Next(First, End);
        }

        return ids;
    }
}
