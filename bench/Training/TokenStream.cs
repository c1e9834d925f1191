using static TorchSharp.torch;

namespace LlamaServe.Bench.Training;

/// <summary>All texts as one sequence of tokens, each wrapped in begin-of-text and end-of-text, read in windows.</summary>
internal sealed class TokenStream
{
    private readonly long[] _tokens;
    private readonly int _window;
    private (int Epoch, int[] Starts) _order = (-1, []);

    /// <exception cref="InvalidDataException">The texts fill no window.</exception>
    public TokenStream(IEnumerable<string> texts, BytePairVocabulary vocabulary, int window)
    {
        List<int> tokens = [];
        foreach (string text in texts)
        {
            tokens.Add(vocabulary.BeginOfTextToken);
            vocabulary.Encode(text, tokens);
            tokens.Add(vocabulary.EndOfTextToken);
        }
        _tokens = [.. tokens];
        _window = window;
        if (Windows < 1)
        {
            throw new InvalidDataException(
                $"The text has {tokens.Count} tokens; windows of {window} need at least {2 * window + 1}.");
        }
    }

    /// <summary>Tokens in all.</summary>
    public int Length => _tokens.Length;

    /// <summary>Windows an epoch: one fewer than fit, which leaves room to shift them.</summary>
    public int Windows => (_tokens.Length - 1) / _window - 1;

    /// <summary>
    /// The <paramref name="index"/>-th batch of an endless order: every epoch shifts the window grid and shuffles it.
    /// </summary>
    /// <returns>Inputs and targets (the inputs' successors), both [windows · window / length, length].</returns>
    public (Tensor Inputs, Tensor Targets) Batch(int index, int windows, int length)
    {
        var starts = new int[windows];
        for (int i = 0; i < windows; i++)
        {
            (long epoch, long place) = Math.DivRem((long)index * windows + i, Windows);
            starts[i] = Order((int)epoch)[place];
        }
        return (Gather(starts, 0, length), Gather(starts, 1, length));
    }

    /// <summary>Inputs and targets of <paramref name="count"/> windows from the <paramref name="first"/>, in the text's order.</summary>
    public (Tensor Inputs, Tensor Targets) InOrder(int first, int count)
    {
        int[] starts = [.. Enumerable.Range(first, count).Select(i => i * _window)];
        return (Gather(starts, 0, _window), Gather(starts, 1, _window));
    }

    private int[] Order(int epoch)
    {
        if (_order.Epoch != epoch)
        {
            var random = new Random(epoch);
            int shift = random.Next(_window);
            int[] starts = [.. Enumerable.Range(0, Windows).Select(i => shift + i * _window)];
            random.Shuffle(starts);
            _order = (epoch, starts);
        }
        return _order.Starts;
    }

    private Tensor Gather(int[] starts, int offset, int length)
    {
        var gathered = new long[starts.Length * _window];
        for (int i = 0; i < starts.Length; i++)
        {
            Array.Copy(_tokens, starts[i] + offset, gathered, i * _window, _window);
        }
        return tensor(gathered, ScalarType.Int64).reshape(-1, length);
    }
}
