using LlamaServe.Bench.Training;

namespace LlamaServe.Bench.Tests;

internal sealed class TaleCorpusTests
{
    [Test]
    public void A_tale_starts_where_a_paragraph_opens_as_tales_do_or_after_an_empty_line()
    {
        TaleCorpus corpus = TaleCorpus.Split(
        [
            .. Paragraphs("first", 3), "Once upon a time there was a wolf.", .. Paragraphs("second", 3), "", .. Paragraphs("third", 3),
            "There was once a fox.", .. Paragraphs("fourth", 20),
        ]);

        Assert.That(corpus.Training, Has.Count.EqualTo(4));
        Assert.That(corpus.Training[1], Does.StartWith("Once upon a time there was a wolf.\n\nsecond 0"));
    }

    [Test]
    public void A_tale_told_within_a_tale_does_not_start_one()
    {
        TaleCorpus corpus = TaleCorpus.Split(
        [
            .. Paragraphs("a", 2), "", .. Paragraphs("b", 2), "", .. Paragraphs("c", 2), "", .. Paragraphs("d", 20), "He began:",
            "Once upon a time there was a wolf.", "'Once upon a time there was a fox.'",
        ]);

        Assert.That(corpus.Training, Has.Count.EqualTo(4));
    }

    [Test]
    public void Endings_are_held_out_of_the_training_text()
    {
        string[] lines = [.. Enumerable.Range(0, 8).SelectMany(tale => Paragraphs($"tale {tale}, paragraph", 24).Append(""))];

        TaleCorpus corpus = TaleCorpus.Split(lines);

        Assert.That(corpus.HeldOut, Has.Count.EqualTo(2));
        Assert.That(corpus.HeldOut[0], Is.EqualTo("tale 3, paragraph 21\n\ntale 3, paragraph 22\n\ntale 3, paragraph 23"));
        Assert.That(string.Concat(corpus.Training), Does.Not.Contain("tale 3, paragraph 21"));
        Assert.That(string.Concat(corpus.Training), Does.Contain("tale 3, paragraph 20"));
    }

    [Test]
    public void A_text_with_nothing_to_hold_out_is_refused() =>
        Assert.Throws<InvalidDataException>(() => TaleCorpus.Split(["One paragraph."]));

    private static IEnumerable<string> Paragraphs(string name, int count) =>
        Enumerable.Range(0, count).Select(index => $"{name} {index}");
}
