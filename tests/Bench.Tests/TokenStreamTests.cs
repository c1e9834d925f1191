using LlamaServe.Bench.Torch;
using LlamaServe.Bench.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace LlamaServe.Bench.Tests;

internal sealed class TokenStreamTests
{
    private const int Window = 16;

    private readonly BytePairVocabulary _vocabulary = new([]);

    [OneTimeSetUp]
    public void LoadRuntime() => TorchRuntime.EnsureLoaded();

    [Test]
    public void Texts_are_wrapped_in_begin_and_end_of_text()
    {
        using DisposeScope scope = NewDisposeScope();
        var stream = new TokenStream(["aaa", "b", "cc"], _vocabulary, window: 5);

        long[] inputs = [.. stream.InOrder(0, 1).Inputs.data<long>()];

        List<int> expected = [];
        _vocabulary.Encode("aaa", expected);
        Assert.That(stream.Length, Is.EqualTo(12));
        Assert.That(inputs, Is.EqualTo([_vocabulary.BeginOfTextToken, .. expected, _vocabulary.EndOfTextToken]));
    }

    [Test]
    public void Targets_are_the_inputs_successors()
    {
        using DisposeScope scope = NewDisposeScope();

        (Tensor inputs, Tensor targets) = Stream().Batch(index: 3, windows: 2, length: Window);

        Assert.That(inputs.narrow(1, 1, Window - 1).Equals(targets.narrow(1, 0, Window - 1)), Is.True);
    }

    [Test]
    public void Half_the_length_gives_twice_the_sequences_of_the_same_tokens()
    {
        using DisposeScope scope = NewDisposeScope();

        Tensor whole = Stream().Batch(index: 1, windows: 2, length: Window).Inputs;
        Tensor halves = Stream().Batch(index: 1, windows: 2, length: Window / 2).Inputs;

        Assert.That(halves.shape, Is.EqualTo(new long[] { 4, Window / 2 }));
        Assert.That(halves.view(-1).Equals(whole.view(-1)), Is.True);
    }

    [Test]
    public void An_epoch_has_every_window_once_and_the_next_one_another_order()
    {
        using DisposeScope scope = NewDisposeScope();
        TokenStream stream = Stream();

        long[][] first = [.. Enumerable.Range(0, stream.Windows).Select(index => Inputs(stream, index))];
        long[][] second = [.. Enumerable.Range(stream.Windows, stream.Windows).Select(index => Inputs(stream, index))];

        Assert.That(first.Select(window => string.Join(' ', window)), Is.Unique);
        Assert.That(second, Is.Not.EqualTo(first));
    }

    [Test]
    public void A_batch_depends_on_its_index_only()
    {
        using DisposeScope scope = NewDisposeScope();
        TokenStream stream = Stream();
        long[] expected = Inputs(stream, 5);

        Inputs(stream, 50);

        Assert.That(Inputs(stream, 5), Is.EqualTo(expected));
    }

    [Test]
    public void Too_short_a_text_is_refused() =>
        Assert.Throws<InvalidDataException>(() => _ = new TokenStream(["abc"], _vocabulary, Window));

    // Every position has its own content: 3-digit numbers.
    private TokenStream Stream() =>
        new([string.Concat(Enumerable.Range(0, 100).Select(number => $"{number:d3} "))], _vocabulary, Window);

    private static long[] Inputs(TokenStream stream, int index) =>
        stream.Batch(index, windows: 1, length: Window).Inputs.data<long>().ToArray();
}
