namespace LlamaServe.Engine.Scheduling;

/// <summary>
/// Sequences without blocks, in the order in which they should get them: by priority, then from the least served tenant,
/// then by arrival. A priority level that is passed over gains one level each aging interval, and falls back to its own once
/// one of its sequences is taken; inside a level the tenants' counters see to it that each gets its turn. So nothing starves.
/// </summary>
internal sealed class WaitingQueue(long agingInterval)
{
    private readonly List<Level> _levels = [];

    public int Count { get; private set; }

    /// <summary>Adds a sequence at its place by arrival, so that a preempted one comes before its tenant's later ones.</summary>
    /// <param name="now">Any clock that does not go back.</param>
    public void Add(Sequence sequence, long now)
    {
        int priority = sequence.Spec.Priority;
        Level? level = _levels.Find(l => l.Priority == priority);
        if (level is null)
        {
            level = new Level(priority, now);
            _levels.Add(level);
        }
        Line? line = level.Lines.Find(l => l.Account == sequence.Account);
        if (line is null)
        {
            line = new Line(sequence.Account!);
            level.Lines.Add(line);
        }
        List<Sequence> sequences = line.Sequences;
        int place = sequences.Count;
        while (place > 0 && Precedes(sequence, sequences[place - 1]))
        {
            place--;
        }
        sequences.Insert(place, sequence);
        Count++;
    }

    /// <summary>The sequence whose turn it is, and the level it has come to; null when none waits.</summary>
    public Sequence? Peek(long now, out int level)
    {
        level = int.MinValue;
        Level? best = null;
        foreach (Level candidate in _levels)
        {
            long aged = candidate.Priority + (now - candidate.PassedOverSince) / agingInterval;
            if (best is null || aged > level || (aged == level && candidate.Priority > best.Priority))
            {
                best = candidate;
                level = (int)Math.Min(aged, int.MaxValue);
            }
        }
        return best is null ? null : Next(best).Sequences[0];
    }

    /// <summary>Takes out a sequence; false when it does not wait.</summary>
    /// <param name="served">Whether it gets blocks, so that its level has had its turn.</param>
    public bool Remove(Sequence sequence, long now, bool served)
    {
        Level? level = _levels.Find(l => l.Priority == sequence.Spec.Priority);
        Line? line = level?.Lines.Find(l => l.Account == sequence.Account);
        if (line is null || !line.Sequences.Remove(sequence))
        {
            return false;
        }
        Count--;
        if (served)
        {
            level!.PassedOverSince = now;
        }
        if (line.Sequences.Count == 0 && level!.Lines.Remove(line) && level.Lines.Count == 0)
        {
            _levels.Remove(level);
        }
        return true;
    }

    private static Line Next(Level level)
    {
        Line best = level.Lines[0];
        foreach (Line line in level.Lines)
        {
            long served = line.Account.Served;
            if (served < best.Account.Served || (served == best.Account.Served && Precedes(line.Sequences[0], best.Sequences[0])))
            {
                best = line;
            }
        }
        return best;
    }

    private static bool Precedes(Sequence a, Sequence b) =>
        a.Spec.Arrival != b.Spec.Arrival ? a.Spec.Arrival < b.Spec.Arrival : a.Spec.Sample < b.Spec.Sample;

    private sealed class Level(int priority, long now)
    {
        public int Priority { get; } = priority;

        public long PassedOverSince { get; set; } = now;

        public List<Line> Lines { get; } = [];
    }

    private sealed class Line(TenantAccount account)
    {
        public TenantAccount Account { get; } = account;

        public List<Sequence> Sequences { get; } = [];
    }
}
