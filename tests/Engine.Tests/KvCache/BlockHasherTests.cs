using System.Buffers.Binary;
using LlamaServe.Engine.KvCache;

namespace LlamaServe.Engine.Tests.KvCache;

public class BlockHasherTests
{
    // vectors_sip128 of the SipHash reference implementation: key 00 01 … 0f, input 00 01 … of each length.
    [TestCase(0, "a3817f04ba25a8e66df67214c7550293")]
    [TestCase(1, "da87c1d86b99af44347659119b22fc45")]
    public void Agrees_with_the_reference_vectors(int length, string expected)
    {
        var hasher = new BlockHasher([.. Enumerable.Range(0, 16).Select(i => (byte)i)]);
        BlockHash hash = hasher.Hash([.. Enumerable.Range(0, length).Select(i => (byte)i)]);
        byte[] bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, hash.Low);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(8), hash.High);
        Assert.That(Convert.ToHexStringLower(bytes), Is.EqualTo(expected));
    }

    [Test]
    public void A_parent_and_tokens_hash_like_their_bytes_in_a_row()
    {
        var hasher = new BlockHasher(new byte[16]);
        var parent = new BlockHash(0x0807060504030201, 0x100f0e0d0c0b0a09);
        byte[] row = [.. Enumerable.Range(1, 16).Select(i => (byte)i), 5, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0];
        Assert.That(hasher.Next(parent, [5, 7, 9]), Is.EqualTo(hasher.Hash(row)));
    }

    [Test]
    public void Two_processes_hash_differently()
    {
        BlockHash one = new BlockHasher().Next(default, [1]);
        BlockHash other = new BlockHasher().Next(default, [1]);
        Assert.That(one, Is.Not.EqualTo(other));
    }

    [TestCase("a", "b", "b", "a")]
    [TestCase("ab", "c", "a", "bc")]
    [TestCase("", "x", "x", "")]
    [TestCase("1:a", "", "", "1:a")]
    public void Roots_keep_tenants_and_salts_apart(string tenant, string salt, string otherTenant, string otherSalt)
    {
        var hasher = new BlockHasher();
        BlockHash root = hasher.Root(tenant, salt);
        BlockHash again = hasher.Root(tenant, salt);
        Assert.That(hasher.Root(otherTenant, otherSalt), Is.Not.EqualTo(root));
        Assert.That(again, Is.EqualTo(root));
    }
}
