using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>A request on its way through the simulation. Times in simulated seconds.</summary>
/// <param name="before">Where the turn before it was; null for the first.</param>
internal sealed class SimulatedTurn(Conversation conversation, int index, int[] prompt, double arrival, Replica? before)
{
    public Conversation Conversation => conversation;

    /// <summary>Which turn of the conversation it is.</summary>
    public int Index => index;

    public bool IsLast => index + 1 == conversation.Turns.Count;

    /// <summary>Everything said before, and this turn's input.</summary>
    public int[] Prompt => prompt;

    public double Arrival => arrival;

    public Replica? Before => before;

    /// <summary>Where it runs, once it is routed.</summary>
    public Replica? Replica { get; set; }

    public int OutputTokens => conversation.Turns[index].OutputTokens;

    public double FirstToken { get; set; }

    public double LastToken { get; set; }

    public int PrefixHit { get; set; }
}
