using System.Text;
using LlamaServe.Models.Tokenization;

namespace LlamaServe.Models.Tests.Tokenization;

public sealed class IncrementalDetokenizerTests
{
    private static readonly Tokenizer Bytes = TinyTokenizers.Load(TinyTokenizers.ByteLevel("Ã ©", "Ġ a"));
    private static readonly Tokenizer Pieces = TinyTokenizers.Load(TinyTokenizers.CodePoints(["▁", "a", "é", "🙂"], "▁ a"));

    [TestCase(false, false)]
    [TestCase(true, false)]
    [TestCase(true, true)]
    public void The_stream_is_the_text_and_never_breaks_a_character(bool pieces, bool continuesText)
    {
        Tokenizer tokenizer = pieces ? Pieces : Bytes;
        Random random = new(9);
        for (int i = 0; i < 2000; i++)
        {
            bool skip = random.Next(2) == 0;
            int[] ids = i % 2 == 0
                ? [.. Enumerable.Range(0, random.Next(20)).Select(_ => random.Next(tokenizer.VocabularySize + 5))]
                : [.. tokenizer.Encode(RandomText.Next(random, 10))];
            byte[] all = [.. ids.SelectMany(id => skip && tokenizer.IsSpecial(id) ? [] : tokenizer.TokenBytes(id).ToArray())];
            string expected = Encoding.UTF8.GetString(pieces && !continuesText && all.Length > 0 && all[0] == ' ' ? all[1..] : all);

            IncrementalDetokenizer detokenizer = new(tokenizer, skip, continuesText);
            StringBuilder text = new();
            foreach (int id in ids)
            {
                string delta = detokenizer.Append(id);
                Assert.That(delta.Length == 0 || (!char.IsLowSurrogate(delta[0]) && !char.IsHighSurrogate(delta[^1])), Is.True);
                text.Append(delta);
            }
            text.Append(detokenizer.Flush());

            Assert.That(text.ToString(), Is.EqualTo(expected));
            Assert.That(tokenizer.Decode(ids, skip, continuesText), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Bytes_of_an_unfinished_character_wait()
    {
        IncrementalDetokenizer detokenizer = new(Bytes);
        Assert.That($"{detokenizer.Append(0xF0)}{detokenizer.Append(0x9F)}{detokenizer.Append(0x99)}", Is.Empty);
        Assert.That(detokenizer.Append(0x82), Is.EqualTo("🙂"));
        Assert.That(detokenizer.Append(0xE2), Is.Empty);
        Assert.That(detokenizer.Append('x'), Is.EqualTo("\uFFFDx"));
        detokenizer.Append(0xC3);
        Assert.That(detokenizer.Flush(), Is.EqualTo("\uFFFD"));
    }

    [Test]
    public void An_id_without_a_token_has_no_text_and_a_negative_one_is_an_error()
    {
        Assert.That(Bytes.Decode([100_000, int.MaxValue]), Is.Empty);
        Assert.That(Bytes.TokenBytes(100_000).Length, Is.Zero);
        Assert.That(() => Bytes.Decode([-1]), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void A_step_allocates_nothing()
    {
        IncrementalDetokenizer detokenizer = new(Bytes);
        // Texts of tokens are made once for all streams.
        for (int i = 0; i < 20; i++)
        {
            new IncrementalDetokenizer(Bytes).Append('a' + i);
        }
        long before = GC.GetAllocatedBytesForCurrentThread();
        int length = 0;
        for (int i = 0; i < 1000; i++)
        {
            length += detokenizer.Append('a' + i % 20).Length;
        }
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
        Assert.That(length, Is.EqualTo(1000));
    }
}
