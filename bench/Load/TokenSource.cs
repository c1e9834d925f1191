namespace LlamaServe.Bench.Load;

/// <summary>Ids that prompts are made of: ordinary tokens, drawn apart from lengths and arrivals, so that those stay the same with other ids.</summary>
/// <param name="first">Smallest id.</param>
/// <param name="end">One above the largest.</param>
internal sealed class TokenSource(int first, int end, int seed)
{
    private readonly Random _random = new(seed);

    public int[] Draw(int count)
    {
        int[] ids = new int[count];
        for (int i = 0; i < count; i++)
        {
            ids[i] = _random.Next(first, end);
        }

        return ids;
    }
}
