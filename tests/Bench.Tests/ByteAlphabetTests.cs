using LlamaServe.Bench.Training;

namespace LlamaServe.Bench.Tests;

internal sealed class ByteAlphabetTests
{
    [TestCase((byte)'a', 'a')]
    [TestCase((byte)' ', 'Ġ')]
    [TestCase((byte)'\n', 'Ċ')]
    [TestCase((byte)0x7f, 'ġ')]
    [TestCase((byte)0xad, 'Ń')]
    [TestCase((byte)0xff, 'ÿ')]
    public void Bytes_have_the_characters_of_the_published_table(byte value, char expected) =>
        Assert.That(ByteAlphabet.Char(value), Is.EqualTo(expected));

    [Test]
    public void Every_byte_has_its_own_printable_character()
    {
        char[] all = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value))];

        Assert.That(all, Is.Unique);
        Assert.That(all, Has.None.Matches<char>(letter => char.IsWhiteSpace(letter) || char.IsControl(letter)));
    }
}
