namespace LlamaServe.Engine.Scheduling;

/// <summary>The sequences that hold blocks, highest rank first, and the place in it that a step has come to.</summary>
internal sealed class RunningSet(int maxSequences)
{
    private readonly List<Sequence> _sequences = new(maxSequences);
    private int _cursor;

    public int Count => _sequences.Count;

    public bool IsFull => _sequences.Count == maxSequences;

    public IReadOnlyList<Sequence> Sequences => _sequences;

    /// <summary>Walks without allocating.</summary>
    public List<Sequence>.Enumerator GetEnumerator() => _sequences.GetEnumerator();

    /// <summary>Starts a walk in which sequences may come and go.</summary>
    public void Rewind() => _cursor = 0;

    /// <summary>The next sequence of the walk; null at its end.</summary>
    public Sequence? Next() => _cursor < _sequences.Count ? _sequences[_cursor++] : null;

    public void Insert(Sequence sequence)
    {
        int place = _sequences.Count;
        while (place > 0 && sequence.Outranks(_sequences[place - 1]))
        {
            place--;
        }
        _sequences.Insert(place, sequence);
        sequence.Status = SequenceStatus.Running;
        if (place < _cursor)
        {
            _cursor++;
        }
    }

    public void Remove(Sequence sequence)
    {
        int place = _sequences.IndexOf(sequence);
        _sequences.RemoveAt(place);
        if (place < _cursor)
        {
            _cursor--;
        }
    }

    /// <summary>Who is the first to give way: the last paused one, else the last; null when only <paramref name="except"/> is there.</summary>
    public Sequence? Lowest(Sequence except)
    {
        for (int i = _sequences.Count - 1; i >= 0; i--)
        {
            if (_sequences[i].IsPaused && _sequences[i] != except)
            {
                return _sequences[i];
            }
        }
        Sequence? last = _sequences.Count > 0 ? _sequences[^1] : null;
        return last == except ? null : last;
    }

    /// <summary>Sequences that give way to one of <paramref name="level"/>: those that are paused or below it.</summary>
    /// <param name="blocks">Blocks that they hold, shared ones counted each time.</param>
    public int CountBelow(int level, out int blocks)
    {
        int count = 0;
        blocks = 0;
        foreach (Sequence sequence in _sequences)
        {
            if (sequence.IsPaused || sequence.Level < level)
            {
                count++;
                blocks += sequence.BlockCount;
            }
        }
        return count;
    }

    /// <exception cref="InvalidOperationException">The order is not that of the ranks.</exception>
    public void CheckIntegrity()
    {
        for (int i = 1; i < _sequences.Count; i++)
        {
            if (!_sequences[i - 1].Outranks(_sequences[i]))
            {
                throw new InvalidOperationException($"running sequence {i} is out of order");
            }
        }
    }
}
