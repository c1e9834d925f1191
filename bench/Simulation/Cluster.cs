using LlamaServe.Bench.Load;

namespace LlamaServe.Bench.Simulation;

/// <summary>How requests are spread over replicas.</summary>
internal enum Routing
{
    /// <summary>To the replica with the fewest outstanding tokens.</summary>
    LeastLoaded,

    /// <summary>
    /// A conversation goes on where it was, because its blocks are there, unless that replica has more than twice the load of the
    /// least loaded one.
    /// </summary>
    Conversation,
}

/// <summary>Replicas behind a router, in simulated time: arrivals and ends of steps, in order.</summary>
/// <param name="maxConcurrency">Conversations under way at most; later ones wait at their senders.</param>
internal sealed class Cluster(Replica[] replicas, Routing routing, int maxConcurrency = int.MaxValue)
{
    /// <summary>Outstanding tokens more than twice the least that do not yet send a conversation elsewhere.</summary>
    private const int FreeLoad = 256;

    private readonly PriorityQueue<Event, (double Time, long Order)> _events = new();
    private readonly SimulationResult _result = new(replicas);
    private IEnumerator<Conversation> _source = Enumerable.Empty<Conversation>().GetEnumerator();
    private IReadOnlyList<double> _arrivals = [];
    private int _taken;
    private int _underWay;
    private bool _isNextKnown;
    private long _order;
    private double _now;

    /// <summary>Runs conversations to their ends; once.</summary>
    /// <param name="conversations">Taken one at a time, each when the one before it has arrived.</param>
    /// <param name="arrivals">Their times, ascending; as many.</param>
    /// <exception cref="ArgumentException">A request would never fit into a KV cache.</exception>
    public SimulationResult Run(IEnumerable<Conversation> conversations, IReadOnlyList<double> arrivals)
    {
        _source = conversations.GetEnumerator();
        _arrivals = arrivals;
        TakeNext();
        while (_events.TryDequeue(out Event next, out (double Time, long Order) at))
        {
            _now = at.Time;
            Handle(next);
            // All that happens at the same time is there before a step begins.
            if (!_events.TryPeek(out _, out (double Time, long Order) following) || following.Time > _now)
            {
                StartSteps();
            }
        }

        _source.Dispose();
        _result.Seconds = _now;
        return _result;
    }

    private void Handle(Event next)
    {
        if (next.Turn is not { } turn)
        {
            next.Replica!.End(_now, OnEnd);
            return;
        }

        turn.Replica = Route(turn);
        turn.Replica.Add(turn, _now);
        if (turn.Index == 0)
        {
            _isNextKnown = false;
            TakeNext();
        }
    }

    private void StartSteps()
    {
        foreach (Replica replica in replicas)
        {
            if (replica.TryStart(_now) is { } end)
            {
                _events.Enqueue(new Event(null, replica), (end, _order++));
            }
        }
    }

    private void TakeNext()
    {
        if (!_isNextKnown && _underWay < maxConcurrency && _taken < _arrivals.Count && _source.MoveNext())
        {
            _isNextKnown = true;
            _underWay++;
            Conversation conversation = _source.Current;
            Arrive(new SimulatedTurn(conversation, 0, conversation.Turns[0].Input, Math.Max(_now, _arrivals[_taken++]), before: null));
        }
    }

    private void OnEnd(SimulatedTurn turn, int[] said)
    {
        _result.Add(turn);
        if (turn.IsLast)
        {
            _underWay--;
            TakeNext();
        }
        else
        {
            int next = turn.Index + 1;
            Arrive(new SimulatedTurn(turn.Conversation, next, [.. said, .. turn.Conversation.Turns[next].Input], _now, turn.Replica));
        }
    }

    private void Arrive(SimulatedTurn turn) => _events.Enqueue(new Event(turn, null), (turn.Arrival, _order++));

    private Replica Route(SimulatedTurn turn)
    {
        Replica least = replicas.MinBy(replica => replica.OutstandingTokens)!;
        return routing == Routing.Conversation && turn.Before is { } before && before.OutstandingTokens <= 2 * least.OutstandingTokens + FreeLoad
            ? before
            : least;
    }

    private readonly record struct Event(SimulatedTurn? Turn, Replica? Replica);
}
