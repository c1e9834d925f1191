namespace LlamaServe.Bench.Load;

/// <summary>
/// Agents: all share one system prompt, each has its own task, and every turn adds a tool's result to all that was said before. What
/// prefix caches are for.
/// </summary>
/// <param name="System">Tokens of the shared system prompt.</param>
/// <param name="Turns">Turns of each conversation.</param>
/// <param name="Input">Tokens that a turn adds.</param>
/// <param name="Output">Tokens of an answer.</param>
internal sealed record AgentWorkload(int System, int Turns, LengthDistribution Input, LengthDistribution Output)
{
    /// <summary>Makes them one at a time, as they are asked for.</summary>
    public IEnumerable<Conversation> Make(int count, TokenSource ids, Random random)
    {
        int[] system = ids.Draw(System);
        return Enumerable.Range(0, count).Select(_ => new Conversation([.. Enumerable.Range(0, Turns).Select(Next)]));

        Turn Next(int turn) => turn == 0
            ? new([.. system, .. ids.Draw(Input.Draw(random))], Output.Draw(random), system.Length)
            : new(ids.Draw(Input.Draw(random)), Output.Draw(random));
    }
}
